"""``musenc dissonance``: the dissonant twin of a recording."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bids_app.config.options import between
from bids_app.errors import WRITABLE, CannotWriteError, UsageError
from bids_app.features.dissonance import SHIFTS
from bids_app.files import atomic_path
from bids_app.log import tell


def add_dissonance(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc dissonance``."""
    parser = commands.add_parser(
        "dissonance",
        help="the dissonant twin of a recording, as a control stimulus",
        description="Mixes a recording with copies of itself a whole tone higher and a tritone "
        "lower (or as --shift says), as loud as the recording itself, so that consonance differs "
        "and rhythm and loudness do not. Writes NAME_dissonant.wav, mono, 24 bit, of the rate and "
        "length of the recording.",
    )
    parser.add_argument("audio", nargs="+", type=Path, help="recordings")
    parser.add_argument(
        "-o", "--output-dir", type=Path, help="folder to write to (default: beside each recording)"
    )
    parser.add_argument(
        "--shift",
        nargs="+",
        type=between(-25, 25),
        default=SHIFTS,
        metavar="SEMITONES",
        help="of the copies, up to two octaves "
        f"(default: {' '.join(f'{shift:g}' for shift in SHIFTS)})",
    )
    parser.set_defaults(work=_run)


def _run(options: argparse.Namespace) -> int:
    sources: dict[Path, Path] = {}
    for path in options.audio:
        target = _target(path, options.output_dir or path.parent).absolute()
        if sources.setdefault(target, path) is not path:
            raise UsageError(
                "Two recordings would have one twin.",
                where=target,
                found=f"{sources[target]}, {path}",
                wanted="names that differ before the ending",
                remedy="give one of the files another name, or call the command for each folder",
            )
    for path in options.audio:
        target, remark = write_twin(path, options.output_dir or path.parent, options.shift)
        tell(f"{target} written{remark}")
    return 0


def _target(path: Path, folder: Path) -> Path:
    return folder / f"{path.stem}_dissonant.wav"


def write_twin(path: Path, folder: Path, shifts: Sequence[float]) -> tuple[Path, str]:
    """Write the twin of a recording; its file, and what is to be said of it.

    Raises
    ------
    MissingInputError, BadDataError
        The recording is missing or unusable.
    UsageError
        The file would take the place of the recording.
    CannotWriteError
    """
    import numpy as np
    import soundfile

    from bids_app.features.audio import load_audio
    from bids_app.features.dissonance import dissonant_twin
    from bids_app.inputs.sound import examine_sound

    target = _target(path, folder)
    if target.exists() and target.samefile(path):
        raise UsageError(
            "The twin would overwrite the recording.",
            where=target,
            found="the recording itself",
            wanted="another folder",
            remedy="give another folder with -o",
        )
    rate = examine_sound(path).rate
    twin = dissonant_twin(load_audio(path, rate), rate, shifts)
    remark, peak = "", float(np.abs(twin).max())
    if peak > 1:
        twin /= peak
        remark = f", {20 * np.log10(peak):.1f} dB softer than the recording, which has no more room"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary:
            soundfile.write(temporary, twin, rate, format="WAV", subtype="PCM_24")
    except (OSError, soundfile.LibsndfileError) as error:
        if isinstance(error, CannotWriteError):
            raise
        raise CannotWriteError(
            "The twin cannot be written.",
            where=target,
            found=error,
            wanted="a file that can be written",
            remedy=WRITABLE,
        ) from error
    return target, remark
