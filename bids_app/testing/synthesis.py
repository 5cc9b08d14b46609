"""Notes to sound: a small wavetable synthesizer with several instruments, drums and a room.

It exists to give the simulated study music whose loudness, spectrum and texture change as those of
real recordings do, in a few seconds and without any file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TABLE_SIZE = 2048

Signal = NDArray[np.float64]


@dataclass(frozen=True)
class Note:
    """One tone or drum stroke.

    Attributes
    ----------
    onset, duration : float
        Seconds.
    pitch : float
        MIDI note number (69 is 440 Hz); ignored by drums.
    velocity : float
        Loudness, 0 to 1; louder notes are also brighter.
    instrument : str
        A key of `INSTRUMENTS` or `DRUMS`.
    pan : float
        -1 (left) to 1 (right).
    """

    onset: float
    duration: float
    pitch: float
    velocity: float
    instrument: str
    pan: float = 0.0


@dataclass(frozen=True)
class Instrument:
    """A tone color: spectrum, envelope and what makes it alive.

    Attributes
    ----------
    slope : float
        Amplitude of partial k is k to the power -slope.
    even : float
        Amplitude of even partials relative to odd ones.
    attack, release : float
        Seconds.
    decay : float
        Time constant in seconds of a struck or plucked tone; 0 for a sustained one.
    vibrato : float
        Depth in semitones, at about 5.5 Hz.
    breath : float
        Noise mixed into the tone.
    """

    slope: float
    even: float
    attack: float
    release: float
    decay: float = 0.0
    vibrato: float = 0.0
    breath: float = 0.0


INSTRUMENTS: dict[str, Instrument] = {
    "strings": Instrument(slope=1.1, even=1.0, attack=0.12, release=0.25, vibrato=0.15),
    "flute": Instrument(slope=2.8, even=0.5, attack=0.06, release=0.10, vibrato=0.2, breath=0.06),
    "clarinet": Instrument(slope=1.3, even=0.08, attack=0.04, release=0.08),
    "brass": Instrument(slope=0.7, even=1.0, attack=0.05, release=0.12, vibrato=0.06),
    "piano": Instrument(slope=1.6, even=0.9, attack=0.004, release=0.15, decay=0.9),
    "pluck": Instrument(slope=1.0, even=0.8, attack=0.002, release=0.08, decay=0.35),
    "bell": Instrument(slope=1.9, even=0.3, attack=0.002, release=0.6, decay=1.4),
    "organ": Instrument(slope=0.9, even=1.4, attack=0.02, release=0.06),
    "bass": Instrument(slope=1.7, even=0.9, attack=0.008, release=0.08, decay=1.2),
}

# Per drum: duration (s), decay (s), tone (Hz, 0 = none), share of noise, noise brightness (0..1).
DRUMS: dict[str, tuple[float, float, float, float, float]] = {
    "kick": (0.25, 0.07, 58.0, 0.08, 0.0),
    "snare": (0.20, 0.06, 185.0, 0.75, 0.5),
    "hihat": (0.08, 0.02, 0.0, 1.0, 1.0),
    "shaker": (0.12, 0.04, 0.0, 1.0, 0.8),
}


def _wavetable(instrument: Instrument, n_partials: int, brightness: float) -> Signal:
    """One cycle with the given number of partials, unit RMS; seeded phases avoid a spiky wave."""
    order = np.arange(1, n_partials + 1, dtype=float)
    amplitude = order ** -(instrument.slope + 1.2 * (1.0 - brightness))
    amplitude[1::2] *= instrument.even
    phase = np.random.default_rng(n_partials).uniform(0, 2 * np.pi, n_partials)
    spectrum = np.zeros(TABLE_SIZE // 2 + 1, complex)
    spectrum[1 : n_partials + 1] = amplitude * np.exp(1j * phase)
    table = np.fft.irfft(spectrum, TABLE_SIZE)
    return table / np.sqrt(np.mean(table**2))


def _envelope(instrument: Instrument, n_held: int, n_samples: int, sample_rate: int) -> Signal:
    """Attack, optional exponential decay, release after the held part."""
    seconds = np.arange(n_samples) / sample_rate
    gain = np.minimum(1.0, (seconds + 1.0 / sample_rate) / instrument.attack)
    if instrument.decay:
        gain *= np.exp(-seconds / instrument.decay)
    n_tail = n_samples - n_held
    gain[n_held:] *= np.linspace(1.0, 0.0, n_tail)
    return gain


class _Synthesizer:
    """Renders notes at one sample rate; keeps the wavetables it has made."""

    def __init__(self, sample_rate: int, rng: np.random.Generator) -> None:
        self.sample_rate = sample_rate
        self.rng = rng
        self.tables: dict[tuple[str, int, float], Signal] = {}

    def tone(self, note: Note) -> Signal:
        instrument = INSTRUMENTS[note.instrument]
        frequency = 440.0 * 2.0 ** ((note.pitch - 69.0) / 12.0)
        # Partials stop below the Nyquist frequency: no aliasing.
        n_partials = int(min(40, max(1, 0.45 * self.sample_rate // frequency)))
        brightness = round(0.3 + 0.7 * note.velocity, 1)
        key = (note.instrument, n_partials, brightness)
        if key not in self.tables:
            self.tables[key] = _wavetable(instrument, n_partials, brightness)
        table = self.tables[key]

        n_held = max(1, int(note.duration * self.sample_rate))
        n_samples = n_held + int(instrument.release * self.sample_rate)
        seconds = np.arange(n_samples) / self.sample_rate
        cycles = frequency * seconds
        if instrument.vibrato:
            depth = instrument.vibrato * np.log(2) / 12
            rate = 5.2 + 0.6 * self.rng.random()
            swell = np.minimum(1.0, seconds / 0.4)
            cycles += (
                frequency * depth / (2 * np.pi * rate) * swell * np.sin(2 * np.pi * rate * seconds)
            )
        index = (cycles * TABLE_SIZE).astype(np.int64) & (TABLE_SIZE - 1)
        wave = table[index]
        if instrument.breath:
            wave = wave + instrument.breath * self.rng.standard_normal(n_samples)
        return wave * _envelope(instrument, n_held, n_samples, self.sample_rate) * note.velocity

    def drum(self, note: Note) -> Signal:
        length, decay, tone, noise_share, brightness = DRUMS[note.instrument]
        n_samples = int(length * self.sample_rate)
        seconds = np.arange(n_samples) / self.sample_rate
        noise = self.rng.standard_normal(n_samples)
        # A first difference turns white noise into hiss, a running mean into a thud.
        hiss = np.diff(noise, prepend=0.0)
        wave = noise_share * (brightness * hiss + (1 - brightness) * noise)
        if tone:
            sweep = tone * (1.0 + 0.6 * np.exp(-seconds / 0.03))
            wave += (
                (1 - noise_share) * 1.4 * np.sin(2 * np.pi * np.cumsum(sweep) / self.sample_rate)
            )
        return 1.5 * wave * np.exp(-seconds / decay) * note.velocity


def _room(sample_rate: int, seconds: float, rng: np.random.Generator) -> Signal:
    """Two decorrelated impulse responses of a small hall, (2, n_samples)."""
    n_samples = int(seconds * sample_rate)
    decay = np.exp(-6.0 * np.arange(n_samples) / n_samples)
    tail = rng.standard_normal((2, n_samples)) * decay
    return tail / np.sqrt(np.sum(tail**2, axis=1, keepdims=True))


def render(
    notes: Sequence[Note],
    duration: float,
    sample_rate: int,
    *,
    seed: int,
    reverberation: float = 0.25,
) -> Signal:
    """Mix notes to stereo sound.

    Parameters
    ----------
    notes : sequence of Note
        In any order; what rings beyond the end is cut.
    duration : float
        Seconds.
    sample_rate : int
        Hz.
    seed : int
        Of the noise in drums, breath and room.
    reverberation : float
        Share of reverberated sound, 0 to 1.

    Returns
    -------
    ndarray, shape (n_samples, 2)
        Peak 0.9; silent if there are no notes. The same input gives the same sound.
    """
    from scipy.signal import oaconvolve

    rng = np.random.default_rng(seed)
    n_samples = round(duration * sample_rate)
    mix = np.zeros((2, n_samples))
    synthesizer = _Synthesizer(sample_rate, rng)
    for note in notes:
        start = int(note.onset * sample_rate)
        if not 0 <= start < n_samples:
            continue
        wave = synthesizer.drum(note) if note.instrument in DRUMS else synthesizer.tone(note)
        wave = wave[: n_samples - start]
        angle = (note.pan + 1.0) * np.pi / 4
        mix[0, start : start + wave.size] += np.cos(angle) * wave
        mix[1, start : start + wave.size] += np.sin(angle) * wave
    if reverberation:
        wet = oaconvolve(mix, _room(sample_rate, 0.8, rng), axes=1)[:, :n_samples]
        mix = (1.0 - reverberation) * mix + reverberation * wet
    peak = np.max(np.abs(mix), initial=0.0)
    return (mix * (0.9 / peak) if peak else mix).T
