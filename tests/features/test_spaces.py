"""Feature spaces beside the network: planted sounds must show where they belong."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.signal
from feature_sounds import melody

from bids_app.errors import BadDataError, MissingInputError, UsageError
from bids_app.features import auditory
from bids_app.features.cache import load_or_compute_grams
from bids_app.features.change import change_curves
from bids_app.features.descriptors import (
    key_clarity,
    local_tempo,
    music_descriptors,
    roughness,
)
from bids_app.features.gram import values_gram
from bids_app.features.logmel import patch_centers, patch_count
from bids_app.features.pooling import window_means
from bids_app.features.precomputed import load_precomputed, precomputed_remarks
from bids_app.features.registry import SPACES, Sound, check_spaces, find_space


def tone(hertz, seconds=3.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16000)) / 16000)


def centers(audio, hop=0.48):
    return patch_centers(patch_count(audio.size, hop), hop)


# Cochleagram


def test_channels_are_24_per_octave_from_180_to_7040_hz():
    assert auditory.CENTERS_HZ.shape == (128,)
    assert auditory.CENTERS_HZ[[0, 31, 127]] == pytest.approx([179.7, 440, 7040], rel=1e-3)
    np.testing.assert_allclose(auditory.CENTERS_HZ[24:] / auditory.CENTERS_HZ[:-24], 2)


@pytest.mark.parametrize("channel", [0, 40, 90, 127])
def test_a_tone_gives_its_amplitude_in_its_channel(channel):
    _, values = auditory.cochleagram(tone(auditory.CENTERS_HZ[channel], 1.0))
    steady = values[30:-10].mean(axis=0)
    assert steady[channel] == pytest.approx(0.5**0.3, rel=0.02)
    assert np.argmax(steady) == pytest.approx(channel, abs=1)


def test_skirts_agree_with_scipys_gammatone():
    channel = 60
    center = auditory.CENTERS_HZ[channel]
    b, a = scipy.signal.gammatone(center, "iir", fs=16000)
    for ratio in (0.8, 0.95, 1.1, 1.3):
        _, values = auditory.cochleagram(tone(center * ratio, 1.0))
        ours = values[30:-10, channel].mean() ** (1 / 0.3)
        _, response = scipy.signal.freqz(b, a, [center * ratio, center], fs=16000)
        gain = np.abs(response[0]) / np.abs(response[1])
        assert 20 * np.log10(ours / 0.5) == pytest.approx(20 * np.log10(gain), abs=1.5)


def test_blocks_leave_no_seam(rng):
    audio = melody(rng, 5.0)
    shift = 1280
    _, whole = auditory.cochleagram(audio)
    _, later = auditory.cochleagram(np.concatenate([np.zeros(shift), audio]))
    np.testing.assert_allclose(later[shift // 128 :], whole, atol=2e-3)


def test_envelope_follows_loudness():
    audio = tone(500, 6.0) * (1 + 0.8 * np.sin(2 * np.pi * 0.25 * np.arange(96000) / 16000))
    sound = Sound("x", audio, centers(audio), 0.48)
    (series,) = find_space("envelope").values(sound)
    expected = np.sin(2 * np.pi * 0.25 * sound.times)
    assert series.values.shape == (len(sound.times), 1)
    assert np.corrcoef(series.values[:, 0], expected)[0, 1] > 0.98


# Modulation


@pytest.mark.parametrize("rate", [2.0, 8.0])
def test_amplitude_modulation_peaks_at_its_rate(rate):
    audio = tone(1000, 6.0) * (1 + 0.9 * np.sin(2 * np.pi * rate * np.arange(96000) / 16000))
    times, frames = auditory.cochleagram(audio)
    values = auditory.modulation(times, frames, centers(audio), 0.96)
    assert values.shape == (len(centers(audio)), 6, 6, 128)
    profile = values[3:-3].mean(axis=(0, 3)).mean(axis=1)
    assert auditory.RATES_HZ[np.argmax(profile)] == rate


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_spectral_ripples_peak_at_their_scale(scale):
    octave = np.log2(auditory.CENTERS_HZ / auditory.CENTERS_HZ[0])
    times = (np.arange(750) + 0.5) * 0.008
    moving = 1 + np.sin(2 * np.pi * (4.0 * times[:, np.newaxis] + scale * octave))
    values = auditory.modulation(times, moving, np.arange(1, 5.0, 0.48), 0.96)
    profile = values[..., 30:-30].mean(axis=(0, 3))
    rate, best = np.unravel_index(np.argmax(profile), profile.shape)
    assert (auditory.RATES_HZ[rate], auditory.SCALES_PER_OCTAVE[best]) == (4.0, scale)
    upward = auditory.modulation(times, moving[:, ::-1], np.arange(1, 5.0, 0.48), 0.96)
    np.testing.assert_allclose(upward[..., ::-1], values, atol=0.02 * values.max())


# Descriptors


@pytest.fixture(scope="module")
def clicks():
    """Short bursts at 120 beats per minute."""
    audio = np.zeros(16000 * 20)
    rng = np.random.default_rng(0)
    for start in range(0, audio.size, 8000):
        audio[start : start + 400] = rng.standard_normal(400) * np.linspace(0.5, 0, 400)
    return audio + 1e-3 * rng.standard_normal(audio.size)


def test_descriptors_of_known_sounds(clicks):
    audio = tone(1000, 8.0, amplitude=0.4)
    layers = {series.name: series for series in music_descriptors(audio, centers(audio), 0.96)}
    assert list(layers) == ["loudness", "timbre", "tonality", "rhythm", "all"]
    for series in layers.values():
        assert series.values.shape == (len(centers(audio)), len(series.units))
    middle = slice(3, -3)
    np.testing.assert_allclose(layers["loudness"].values[middle], 0.4 / np.sqrt(2), rtol=0.01)
    np.testing.assert_allclose(layers["timbre"].values[middle, 0], 1000, rtol=0.05)
    rhythm = {s.name: s for s in music_descriptors(clicks, centers(clicks), 0.96)}["rhythm"].values
    assert np.median(rhythm[8:-8, 0]) > 0.4
    assert np.median(rhythm[8:-8, 1]) == pytest.approx(120, abs=5)
    np.testing.assert_allclose(rhythm[8:-8, 2], 2.0, atol=0.3)


TEMPI = {
    "phrase": lambda t: 76 + 18 * np.sin(2 * np.pi * t / 24),
    "rubato": lambda t: 76 + 9 * np.sin(2 * np.pi * t / 11) + 7 * np.sin(2 * np.pi * t / 4.3 + 1),
    "accelerando": lambda t: 60 * 1.8 ** (t / 60),
}


def performed(tempo, per_beat=1, seconds=60.0):
    """Notes at the beats of a tempo curve."""
    rng = np.random.default_rng(3)
    fine = np.arange(0, seconds, 0.001)
    beats = np.cumsum(tempo(fine)) * 0.001 / 60
    onsets = np.interp(np.arange(1, beats[-1] * per_beat) / per_beat, beats, fine)
    audio = np.zeros(round(seconds * 16000) + 16000)
    time = np.arange(6400) / 16000
    for onset in onsets:
        pitch = 220 * 2 ** (rng.integers(0, 24) / 12)
        note = sum(np.sin(2 * np.pi * pitch * h * time) / h for h in (1, 2, 3))
        start = round(onset * 16000)
        audio[start : start + 6400] += 0.2 * note * np.exp(-time / 0.15) * np.minimum(time * 200, 1)
    return audio[:-16000]


def tempo_of(audio, times):
    (rhythm,) = [s for s in music_descriptors(audio, times, 0.96) if s.name == "rhythm"]
    (column,) = [k for k, unit in enumerate(rhythm.units) if unit.name == "tempo"]
    return rhythm.values[:, column]


@pytest.mark.parametrize("per_beat", [1, 2])
@pytest.mark.parametrize("kind", TEMPI)
def test_tempo_follows_a_performance(kind, per_beat):
    audio = performed(TEMPI[kind], per_beat)
    times = centers(audio)
    found, true = tempo_of(audio, times), TEMPI[kind](times)
    assert np.corrcoef(found, true)[0, 1] >= 0.9
    # One octave for the whole piece.
    octaves = np.log2(found / true)
    assert np.ptp(octaves) < 0.5
    assert np.std(octaves) < 0.07


def test_tempo_is_held_through_silence_and_defined_without_a_beat():
    audio = performed(lambda t: 100 + 0 * t, seconds=24.0)
    gap = audio.copy()
    gap[16000 * 10 : 16000 * 15] = 0
    times = centers(audio)
    steady = tempo_of(audio, times)[4:-4]
    np.testing.assert_allclose(steady, 100 * 2 ** np.round(np.log2(steady[0] / 100)), rtol=0.05)
    through = tempo_of(gap, times)
    assert np.ptp(np.log2(through[(times > 10) & (times < 15)])) < 0.2
    assert set(tempo_of(np.zeros(16000 * 8), centers(audio)[:10])) == {np.sqrt(40 * 240)}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_frames", [1, 2, 61, 255, 512])
def test_tempo_of_very_short_sounds(n_frames, rng):
    for onset in (np.zeros(n_frames), rng.random(n_frames), np.ones(n_frames)):
        tempo = local_tempo(onset.astype(np.float32), np.array([0.4875]))
        assert tempo.shape == (1,)
        assert 40 <= tempo[0] <= 240


def test_loudness_scales_and_timbre_does_not(rng):
    audio = melody(rng, 4.0)
    plain = {s.name: s.values for s in music_descriptors(audio, centers(audio), 0.96)}
    soft = {s.name: s.values for s in music_descriptors(audio / 2, centers(audio), 0.96)}
    np.testing.assert_allclose(soft["loudness"], plain["loudness"] / 2, rtol=1e-4)
    np.testing.assert_allclose(soft["timbre"][:, :3], plain["timbre"][:, :3], rtol=1e-3)


def test_key_clarity_knows_a_scale_from_noise():
    scale = np.array([1.0, 0, 0.5, 0, 0.7, 0.4, 0, 0.9, 0, 0.4, 0, 0.3])
    clarity = key_clarity(
        np.stack([scale, np.roll(scale, 5), np.ones(12), np.r_[1:0:-6j, 1:0:-6j]])
    )
    assert clarity[0] > 0.9
    assert clarity[1] == pytest.approx(clarity[0])
    assert clarity[2] == 0
    assert clarity[3] < 0.8


def test_a_semitone_is_rougher_than_an_octave():
    import librosa

    def rough(ratio):
        audio = (tone(440, 1.0) + tone(440 * ratio, 1.0)).astype(np.float32)
        return np.median(roughness(np.abs(librosa.stft(audio, n_fft=2048, hop_length=512))))

    assert rough(2 ** (1 / 12)) > 5 * rough(2.0)


# Change


def test_change_and_boundaries_are_where_they_were_put(rng):
    features = 0.1 * rng.normal(size=(120, 30))
    features[60:] += 2 * rng.normal(size=30)
    curves = change_curves(features @ features.T, 0.48)
    distance = np.linalg.norm(np.diff(features, axis=0), axis=1)
    np.testing.assert_allclose(curves[1:, 0], distance, atol=1e-10)
    assert curves[0, 0] == curves[1, 0]
    assert np.argmax(curves[:, 0]) == 60
    for curve in curves[:, 1:].T:
        assert np.argmax(curve) in (59, 60)
    assert (curves >= 0).all()


def test_change_needs_time_and_survives_stillness():
    with pytest.raises(BadDataError, match="three patches"):
        change_curves(np.eye(2), 0.48)
    assert not change_curves(np.zeros((5, 5)), 0.48).any()


# Precomputed


@pytest.fixture
def table(tmp_path, rng):
    times = np.arange(0, 12, 0.1)
    frame = pd.DataFrame({"time": times, "ramp": 0.5 * times, "noise": rng.normal(size=times.size)})
    frame.to_csv(tmp_path / "happy.tsv", sep="\t", index=False)
    return frame


def test_tables_are_averaged_over_patches_or_interpolated(table, tmp_path):
    times = patch_centers(20, 0.48)
    (series,) = load_precomputed(tmp_path, "happy", times, 0.48)
    assert [unit.name for unit in series.units] == ["ramp", "noise"]
    np.testing.assert_allclose(series.values[:, 0], 0.5 * times, atol=0.05)
    assert series.values[:, 1].std() < 0.6 * table["noise"].std()
    table[::10].to_csv(tmp_path / "slow.tsv", sep="\t", index=False)
    (series,) = load_precomputed(tmp_path, "slow", times, 0.48)
    np.testing.assert_allclose(series.values[:, 0], 0.5 * times, atol=1e-9)


def test_arrays_by_stimulus_and_layer(tmp_path, rng):
    times = patch_centers(20, 0.48)
    path = tmp_path / "openl3.h5"
    with h5py.File(path, "w") as file:
        for label in ("happy", "sad"):
            file[f"{label}/time"] = np.arange(0, 12, 0.5)
            file[f"{label}/late"] = rng.normal(size=(24, 3))
            file[f"{label}/early"] = rng.normal(size=(24, 2))
    layers = load_precomputed(path, "sad", times, 0.48)
    assert [(s.name, s.values.shape) for s in layers] == [("early", (20, 2)), ("late", (20, 3))]
    with pytest.raises(BadDataError, match=r"(?s)openl3\.h5.*other"):
        load_precomputed(path, "other", times, 0.48)


def test_unusable_precomputed_features_are_named(table, tmp_path):
    with pytest.raises(BadDataError, match=r"(?s)do not cover.*happy\.tsv.*0 to 11\.9 s.*28\.8"):
        load_precomputed(tmp_path, "happy", patch_centers(60, 0.48), 0.48)
    with pytest.raises(MissingInputError, match="nothing for sad"):
        load_precomputed(tmp_path, "sad", patch_centers(5, 0.48), 0.48)
    for frame, words in (
        (table.rename(columns={"time": "seconds"}), "time"),
        (table[["time"]], "no column beside time"),
        (table.iloc[::-1], "must increase"),
        (table.assign(noise=np.nan), "120 values are not finite"),
        (table.assign(noise="loud"), "cannot be read"),
    ):
        frame.to_csv(tmp_path / "bad.tsv", sep="\t", index=False)
        with pytest.raises(BadDataError, match=rf"(?s)bad\.tsv.*{words}|{words}.*bad\.tsv"):
            load_precomputed(tmp_path, "bad", patch_centers(5, 0.48), 0.48)


# All of them


@pytest.mark.parametrize(
    "features",
    ["change:envelope"]
    + [name for name, row in SPACES.items() if not row.network and not row.argument],
)
def test_every_space_goes_into_the_cache(features, make_wav, tmp_path):
    if features == "transcribed":
        pytest.importorskip("basic_pitch", reason="the extra [transcription] is not installed")
        pytest.importorskip("onnxruntime", reason="the extra [transcription] is not installed")
    stimuli = [("a", make_wav("a.wav", 3.0)), ("b", make_wav("b.wav", 4.0))]
    for _, path in stimuli:  # which one of the spaces is made of
        notes = "onset\tduration\tpitch\n0.5\t0.5\t60\n1.0\t0.5\t64\n2.0\t0.5\t60\n"
        path.with_name(f"{path.stem}_notes.tsv").write_text(notes)
    grams = load_or_compute_grams(stimuli, cache_dir=tmp_path / "c", features=features)
    again = load_or_compute_grams(stimuli, cache_dir=tmp_path / "c", features=features)
    assert again.path == grams.path
    assert grams.weights_sha256 == ""
    space = find_space(features.removeprefix("change:"))
    sounds = [space.sound(label, path) for label, path in stimuli]
    computed = [list(space.values(sound)) for sound in sounds]
    for times, sound in zip(grams.patch_times, sounds, strict=True):
        np.testing.assert_array_equal(times, sound.times)
    for number, name in enumerate(grams.layer_names, start=1):
        values = [layers[number - 1].values for layers in computed]
        if features.startswith("change:"):
            values = [
                change_curves(array @ array.T, 0.25)
                for array in np.split(_zscored(values), np.cumsum([len(v) for v in values])[:-1])
            ]
        expected, _ = values_gram(values)
        assert grams.n_units[number - 1] == values[0].shape[1]
        assert computed[0][number - 1].name == name
        np.testing.assert_allclose(grams.gram(number), expected, atol=1e-3 * np.abs(expected).max())


def _zscored(blocks):
    return np.concatenate([(b - b.mean(axis=0)) / b.std(axis=0) for b in blocks])


def test_change_of_the_network_has_its_layers(make_wav, tmp_path):
    stimuli = [("a", make_wav("a.wav", 3.0))]
    grams = load_or_compute_grams(stimuli, "random:7", cache_dir=tmp_path, features="change:vggish")
    assert len(grams.layer_names) == 23
    assert set(grams.n_units) == {3}
    assert grams.weights_label == "random:7"


def test_precomputed_features_are_known_by_content(make_wav, tmp_path, table):
    stimuli = [("happy", make_wav("a.wav", 5.0))]
    first = load_or_compute_grams(
        stimuli, cache_dir=tmp_path / "c", features=f"precomputed:{tmp_path}"
    )
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "happy.tsv").write_bytes((tmp_path / "happy.tsv").read_bytes())
    moved = load_or_compute_grams(
        stimuli, cache_dir=tmp_path / "c", features=f"precomputed:{tmp_path / 'moved'}"
    )
    assert moved.path == first.path
    table.assign(ramp=0.5 * table["ramp"] ** 2).to_csv(
        tmp_path / "happy.tsv", sep="\t", index=False
    )
    changed = load_or_compute_grams(
        stimuli, cache_dir=tmp_path / "c", features=f"precomputed:{tmp_path}"
    )
    assert changed.path != first.path


def test_unknown_spaces_are_refused():
    check_spaces(["change:precomputed:/somewhere", "vggish"], ["conv1"])
    for wrong in ("mfcc", "vggish:", "vggish:x", "precomputed", "precomputed:"):
        with pytest.raises(UsageError, match="no such feature space"):
            check_spaces([wrong])
    for wrong in ("change:", "change:change:envelope"):
        with pytest.raises(UsageError, match="no such feature space"):
            find_space(wrong)


def test_layers_are_chosen_where_a_space_has_them():
    with pytest.raises(UsageError, match=r"(?s)layers to choose.*envelope.*vggish"):
        check_spaces(["envelope"], ["conv1"])


def test_windows_without_frames_are_refused_and_others_end_with_them(rng):
    with pytest.raises(BadDataError, match="no frame"):
        window_means(np.arange(5.0), np.ones((5, 1)), np.array([9.0]), 1.0)
    values = rng.normal(size=(5, 2, 3))
    found = window_means(np.arange(5.0), values, np.array([-0.4, 0.5, 2.0, 4.5]), 1.0)
    np.testing.assert_allclose(found[0], values[0] * 0.95 + values[1] * 0.05, atol=1e-9)
    np.testing.assert_allclose(found[1], values[:2].mean(axis=0))
    np.testing.assert_allclose(found[2], values[2] * 0.75 + (values[1] + values[3]) / 8)
    np.testing.assert_allclose(found[3], values[4], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: 1000 * t, "much more than(.|\n)*in milliseconds they would fit"),
        (lambda t: 3 * t, "much more than the stimulus"),
        (lambda t: t / 60, "do not cover"),
        (lambda t: t[[0, -1]], "slower than a response(.|\n)*s between frames"),
        (lambda t: np.where(t > 15, t + 20, t), "have a gap(.|\n)*20.1 s between"),
    ],
)
@pytest.mark.parametrize("kind", ["tsv", "h5"])
def test_times_of_features_in_another_unit(tmp_path, change, words, kind):
    rng, times = np.random.default_rng(0), np.arange(0, 60, 0.1)
    patches = patch_centers(patch_count(60 * 16000, 0.48), 0.48)

    def write(times):
        values = rng.normal(size=times.size)
        if kind == "tsv":
            frame = pd.DataFrame({"time": times, "chroma": values})
            frame.to_csv(tmp_path / "calm.tsv", sep="\t", index=False)
        else:
            with h5py.File(tmp_path / "calm.h5", "w") as file:
                file["time"], file["chroma"] = times, values[:, None]

    write(times)
    assert len(load_precomputed(tmp_path, "calm", patches, 0.48)) == 1
    write(change(times))
    with pytest.raises(BadDataError, match=words):
        load_precomputed(tmp_path, "calm", patches, 0.48)


def test_row_numbers_are_no_feature(tmp_path):
    times = np.arange(0, 60, 0.1)
    frame = pd.DataFrame({"time": times, "chroma": times % 3})
    frame.to_csv(tmp_path / "calm.tsv", sep="\t")
    with pytest.raises(BadDataError, match="without a name"):
        load_precomputed(tmp_path, "calm", patch_centers(100, 0.48), 0.48)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (4410 * np.arange(600), "'frame' counts the rows by 4410"),
        (100 * np.arange(600) + 5, "'frame' counts the rows by 100"),
        (np.round(np.arange(600) * 1000 / 3), "'frame' counts the rows by 333.33"),
        (-7 * np.arange(600), "'frame' counts the rows by -7"),
    ],
)
def test_counters_and_clocks_are_no_features(tmp_path, column, told):
    times = np.arange(600) / 10
    frame = pd.DataFrame({"time": times, "frame": column, "chroma": np.sin(times)})
    frame.to_csv(tmp_path / "calm.tsv", sep="\t", index=False)
    with pytest.raises(BadDataError, match=told):
        precomputed_remarks(tmp_path, "calm", tmp_path / "calm.wav", 60.0)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (lambda t: np.sin(t), []),
        (lambda t: np.floor(t), []),
        (lambda t: t % 3, []),
        (
            lambda t: np.where(np.sin(t) > 0.95, -999, np.round(np.sin(t), 3)),
            ["x: -999 (62 of 600 samples) lies far from all others (-1 to 0.949): if it"],
        ),
        (lambda t: np.round(t / 60, 5), ["x grows or falls evenly, like a clock or a counter: ta"]),
    ],
)
def test_odd_columns_of_features_are_told(tmp_path, column, told):
    times = np.arange(600) / 10
    frame = pd.DataFrame({"time": times, "chroma": np.cos(times), "x": column(times)})
    frame.to_csv(tmp_path / "calm.tsv", sep="\t", index=False)
    said = precomputed_remarks(tmp_path, "calm", tmp_path / "calm.wav", 60.0)
    assert len(said) == len(told)
    for text, words in zip(said, told, strict=True):
        assert text.startswith(f"calm: {words}")
        assert text.endswith("(calm.tsv)")


def test_of_many_odd_columns_the_first_are_named(tmp_path):
    times = np.arange(600) / 10
    values = {f"x{k}": np.where(times == 5, -999, np.sin(times + k)) for k in range(8)}
    pd.DataFrame({"time": times, **values}).to_csv(tmp_path / "calm.tsv", sep="\t", index=False)
    (said,) = precomputed_remarks(tmp_path, "calm", tmp_path / "calm.wav", 60.0)
    assert said.count("-999") == 3
    assert " and 5 more: if" in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x, ""),
        (lambda x: x.T, r"l1: shape \(4, 600\)\n(.|\n)*\(600, n_units\)"),
        (lambda x: x.reshape(600, 2, 2), r"l1: shape \(600, 2, 2\)"),
        (lambda x: x[:, 0], r"l1: shape \(600,\)"),
        (lambda x: x[:-5], r"l1: shape \(595, 4\)"),
        (lambda x: x.astype(complex), "calm: l1 holds no real numbers"),
        (lambda x: x.astype("S5"), "calm: l1 holds no real numbers"),
    ],
)
def test_shapes_of_arrays_are_checked_before_anything_is_computed(tmp_path, rng, change, told):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["calm/time"], file["calm/l1"] = np.arange(600) / 10, change(rng.normal(size=(600, 4)))
    check = (tmp_path / "x.h5", "calm", tmp_path / "calm.wav", 60.0)
    if not told:
        assert precomputed_remarks(*check) == []
        return
    with pytest.raises(BadDataError, match=told):
        precomputed_remarks(*check)


def test_a_lag_scan_of_no_space_says_its_option_and_where_the_layer_is():
    with pytest.raises(UsageError) as caught:
        check_spaces(["mfcc"], scanned=["loudness"])
    told = str(caught.value)
    assert "where: --lag-scan" in told
    assert "descriptors@loudness" in told
