import json
import re

import fake_outputs
import pytest

from bids_app.analyses.group.claims import write_claims
from bids_app.files import write_json
from bids_app.outputs import OutputTree
from bids_app.report import citation, citation_files
from bids_app.report.citations import REFERENCES, bibliography, number_citations
from bids_app.report.group import study_methods
from bids_app.report.methods import group_methods, participant_methods
from bids_app.report.sources import GroupFiles
from bids_app.resources import FIRST_GRADIENT


def test_citations_are_numbered_in_order_of_appearance():
    text = number_citations(
        ["b [@kim2024; @hershey2017].", "again [@hershey2017], new [@fischl1999]"]
    )
    assert text.paragraphs == ["b [1, 2].", "again [2], new [3]"]
    assert list(text.keys) == ["kim2024", "hershey2017", "fischl1999"]
    assert text.references[2].startswith("Fischl, Bruce et al. (1999). High-resolution")


def test_unknown_citation_is_an_error():
    with pytest.raises(KeyError, match="nobody1900"):
        number_citations(["[@nobody1900]"])


def test_bibtex_has_one_whole_entry_per_key():
    text = bibliography(REFERENCES)
    assert re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE) == list(REFERENCES)
    assert text.count("{") == text.count("}")
    for key, reference in REFERENCES.items():
        assert reference.year in key
        assert not reference.doi.startswith("http")


def test_citation_files_agree():
    files = citation_files(citation())
    listed = re.findall(r"^\d+\. ", files["md"], re.MULTILINE)
    assert len(listed) == files["bib"].count("\n@") + files["bib"].startswith("@")
    assert files["html"].count("<li>") == len(listed)
    cited = {
        key for group in re.findall(r"\\cite\{([^}]+)\}", files["tex"]) for key in group.split(",")
    }
    assert cited == set(re.findall(r"^@\w+\{(\w+),$", files["bib"], re.MULTILINE))
    for text in files.values():
        assert "[@" not in text
        assert "None" not in text


def test_citations_before_the_group_level_speak_of_no_gradient_and_no_mask():
    text = citation().markdown
    assert "gradient" not in text
    assert "mask" not in text


def test_latex_escapes_what_latex_reads():
    text = number_citations(["5 % of A & B_c [@kim2024; @hershey2017]"]).latex
    assert text.startswith("5 \\% of A \\& B\\_c \\cite{kim2024,hershey2017}")


def test_html_is_a_page_that_names_its_charset():
    page = citation().html
    assert page.startswith("<!DOCTYPE html>")
    assert '<meta charset="utf-8">' in page
    assert page.rstrip().endswith("</html>")


def test_methods_do_not_describe_a_preference_that_is_missing():
    content = {"LayerPreferenceMissing": "five layers are needed"}
    text = " ".join(participant_methods(content, {}).paragraphs)
    assert "Layer preference was not computed: five layers are needed." in text
    assert "residual slope" not in text
    group = " ".join(group_methods(content, []).paragraphs)
    assert "slope" not in group
    assert "gradient" not in group


def test_methods_describe_no_slope_without_a_reference_and_no_reference_of_one_for_all():
    content = {"ReferenceMissing": "0 significant vertices", "ReferenceVertices": 0}
    text = " ".join(participant_methods(content, {}).paragraphs)
    assert "The residual slope was not computed: 0 significant vertices." in text
    assert "Layer preference is" not in text
    for one in (content, {"ReferenceVertices": 1018}):
        group = " ".join(group_methods({}, [], one).paragraphs)
        assert "Layer preference is the residual slope" in group
        assert "not computed" not in group
        assert "1018" not in group


def test_methods_of_a_study_are_one_text_with_versions_and_counts(own_folder):
    folder, files = own_folder, GroupFiles(own_folder)
    text = " ".join(study_methods(files).paragraphs)
    people = fake_outputs.read(OutputTree(folder).group_table("settings.json", model="vggish"))
    assert f"accuracies of {len(people['Participants'])} participants were tested" in text
    assert "20 values from 0.001 to 100000" in text
    description = folder / "dataset_description.json"
    description.write_text(
        json.dumps({"SourceDatasets": [{"URL": "x"}, {"Version": "fMRIPrep 23.1.4", "URL": "y"}]})
    )
    assert "preprocessed by fMRIPrep 23.1.4 [" in study_methods(GroupFiles(folder)).markdown


def test_methods_say_the_settings_that_were_used(folder):
    tree = OutputTree(folder)
    settings = fake_outputs.read(tree.participant_settings("01", "vggish"))
    path = tree.participant_map("01", "L", "fsaverage5", model="vggish", stat="r")
    sidecar = fake_outputs.read(path.with_name(path.name.split(".")[0] + ".json"))
    text = " ".join(participant_methods(settings, sidecar).paragraphs)
    for words in (
        "every 0.48 s",
        "from 3 to 9 s in steps of the repetition time (1 s)",
        "15 s at both ends",
        "20 values from 0.001 to 100000",
        "motion6+acompcor6+cosine",
        "cutoff of 128 s",
        "happy, sadsh, sadln",
        "autoregressive process of second order",
        "random:3",
        "1234 vertices",
        "one stimulus was left out (happy, sadsh, sadln)",
        "6 mm full width at half maximum",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("held_out", "words"),
    [
        (["a+b", "c"], "a group of stimuli was left out"),
        (["a[1/2]", "a[2/2]"], "fitted to the rest of the only stimulus"),
    ],
)
def test_methods_say_what_was_held_out(held_out, words):
    text = " ".join(participant_methods({}, {"HeldOutStimuli": held_out}).paragraphs)
    assert words in text


@pytest.mark.parametrize(
    ("null", "words", "absent"),
    [
        ("none", "No null distribution was computed.", "rotated"),
        ("phase", "sampled by refitting", "closed form"),
        ("noise", "models were fitted anew", "Fourier"),
        ("analytic", "computed in closed form", "refitting"),
    ],
)
def test_methods_follow_the_null(null, words, absent):
    text = " ".join(participant_methods({"Settings": {"null": null}}, {}).paragraphs)
    assert words in text
    assert absent not in text


def test_methods_say_what_no_high_pass_filter_leaves():
    text = " ".join(participant_methods({"Settings": {"high_pass": 0.0}}, {}).paragraphs)
    assert "a linear trend was removed from responses and features" in text
    assert "not controlled" in text
    text = " ".join(participant_methods({"Settings": {"high_pass": 128.0}}, {}).paragraphs)
    assert "linear trend" not in text


def test_group_methods_name_the_gradient_and_the_mask():
    text = " ".join(
        group_methods(
            {"Settings": {"n_permutations": 64}},
            [{"n_spins": 1000, "mask": "cortex", "gradient": {"Name": FIRST_GRADIENT}}],
        ).paragraphs
    )
    assert "(up to 64; all when fewer exist)" in text
    assert "rotated alike in all participants" in text
    assert "by 1000 random rotations" in text
    assert "principal gradient" in text
    assert "over the whole cortex since too few vertices were significant, averaged" in text
    other = " ".join(group_methods({}, [{"gradient": {"Name": "file"}}]).paragraphs)
    assert "a gradient given as a file" in other
    assert "is the Spearman correlation" in other
    pearson = " ".join(group_methods({}, [{"method": "pearson"}]).paragraphs)
    assert "is the Pearson correlation" in pearson


def test_group_methods_name_every_gradient_and_how_many_were_tested():
    names = ("margulies2016_fcgradient01", "margulies2016_fcgradient03", "file")
    alignments = [
        {"n_spins": n, "gradient": {"Name": name, "Label": "myown"}}
        for name, n in zip(names, (1000, 1000, 100), strict=True)
    ]
    text = " ".join(group_methods({}, alignments).paragraphs)
    assert "the principal and third gradient of functional connectivity" in text
    assert "a gradient given as a file (myown)" in text
    assert "by 1000 or 100 random rotations" in text
    assert "3 gradients were tested" in text
    assert "corrected" not in group_methods({}, alignments[:1]).paragraphs[-1]


def test_methods_name_the_test_over_people_behind_every_kind_of_claim(own_folder):
    text = study_methods(GroupFiles(own_folder)).paragraphs[-1]
    assert "accuracy by one-sided sign flips (largest t over layers and vertices)" in text
    # The weights of this folder are random: no claim is primary.
    assert "; alignments of slopes and curvature by two-sided sign flips shared by all" in text
    assert "t test" not in " ".join(study_methods(GroupFiles(own_folder)).paragraphs)

    path = OutputTree(own_folder).participant_settings("01", "vggish")
    content = fake_outputs.read(path)
    content["Features"]["Untrained"] = False
    write_json(path, content)
    write_claims(own_folder)
    text = study_methods(GroupFiles(own_folder)).paragraphs[-1]
    assert "primary claim (residual slope of the trained network, principal gradient) by" in text
    assert text.endswith(" by a two-sided t test.")
