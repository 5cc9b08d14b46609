"""Time and memory of VGGish's 23 layers for the music of the study (939 s).

Run ``python benchmarks/features.py``; every stage runs in a process of its own, so that each has
its own peak of memory. Weights are drawn at random: time and memory do not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DURATIONS = {"happy": 168.0, "sadshort": 256.0, "sadlong": 515.0}
WEIGHTS = "random:0"
STAGES = ("log-mel", "plain", "forward", "grams")


def write_music(folder: Path, scale: float) -> list[tuple[str, Path]]:
    """Notes with overtones in noise, at 44.1 kHz and in stereo."""
    import soundfile

    rng = np.random.default_rng(939)
    stimuli = []
    for label, seconds in DURATIONS.items():
        path = folder / f"{label}.wav"
        times = np.arange(44100) / 44100
        with soundfile.SoundFile(path, "w", 44100, 2) as file:
            for second in range(round(seconds * scale)):
                pitch = 110 * 2 ** (rng.integers(0, 36) / 12)
                tone = sum(np.sin(2 * np.pi * k * pitch * times) / k for k in range(1, 6))
                loudness = 0.1 + 0.08 * np.sin(second / 5)
                noise = 0.02 * rng.standard_normal(times.size)
                mono = loudness * tone * np.exp(-2 * times) + noise
                file.write(np.column_stack([mono, 0.8 * mono]))
        stimuli.append((label, path))
    return stimuli


def measure_stage(stage: str, stimuli: list[tuple[str, Path]]) -> dict[str, float]:
    """Seconds of wall clock and processor, and peak memory, of one stage in this process."""
    import torch

    from bids_app.features.sources import stimulus_patches
    from bids_app.features.stream import layer_grams, stream_layers
    from bids_app.features.vggish import load_vggish

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    started = time.perf_counter(), time.process_time()
    patches = [stimulus_patches(path)[0] for _, path in stimuli]
    if stage != "log-mel":
        model = load_vggish(WEIGHTS)
        started = time.perf_counter(), time.process_time()
        if stage == "plain":
            with torch.inference_mode():
                for part in torch.from_numpy(np.concatenate(patches)).split(64):
                    model(part)
        elif stage == "forward":
            list(stream_layers(model, patches, [23], Ignore))
        else:
            for layer in layer_grams(model, patches):
                assert layer.gram.shape[0] == sum(map(len, patches))
    return {
        "wall": time.perf_counter() - started[0],
        "cpu": time.process_time() - started[1],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "n_patches": sum(map(len, patches)),
    }


class Ignore:
    """A sink that keeps nothing."""

    def add(self, values: object, scratch: object) -> None:
        """Do nothing."""


def run_stage(stage: str, folder: Path, n_threads: int) -> dict[str, float]:
    """Run one stage in a fresh process."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(n_threads),
        "OPENBLAS_NUM_THREADS": str(n_threads),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    found = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    """Measure all stages and print one line per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 939 s")
    parser.add_argument("--only", choices=STAGES, help="one stage, without ratios")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        stimuli = [(label, options.folder / f"{label}.wav") for label in DURATIONS]
        print(json.dumps(measure_stage(options.stage, stimuli)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_music(folder, options.scale)
        stages = (options.only,) if options.only else STAGES
        found = {stage: run_stage(stage, folder, options.threads) for stage in stages}
    seconds = sum(DURATIONS.values()) * options.scale
    busy, n_patches = os.getloadavg()[0], found[stages[-1]]["n_patches"]
    print(f"{seconds:.0f} s of audio, {n_patches} patches, {options.threads} threads")
    print(f"load of the machine at the end: {busy:.1f} on {os.cpu_count()} cores")
    for stage, figures in found.items():
        print(
            f"{stage:8s} {figures['wall']:7.1f} s wall {figures['cpu']:7.1f} s cpu "
            f"{figures['peak_gb']:5.2f} GB peak"
        )
    if options.only:
        return
    mel, plain, forward, grams = (found[stage] for stage in STAGES)
    total = mel["cpu"] + grams["cpu"]
    products = grams["cpu"] - forward["cpu"]
    print(
        f"shares of cpu: audio and log-mel {mel['cpu'] / total:.0%}, "
        f"forward {forward['cpu'] / total:.0%}, z-scores and products {products / total:.0%}"
    )
    print(
        f"all layers into Gram matrices: {mel['wall'] + grams['wall']:.0f} s wall, "
        f"{total / options.threads:.0f} s on {options.threads} free cores (limit 240)"
    )
    print(f"ratio to a plain forward pass: {grams['cpu'] / plain['cpu']:.2f} (cpu)")


if __name__ == "__main__":
    main()
