"""References of the methods text, as text and as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bids_app.features.registry import SPACES
from bids_app.references import Reference

_MARK = re.compile(r"\[(@[a-z0-9]+(?:; ?@[a-z0-9]+)*)\]")


REFERENCES = {
    "alexanderbloch2018": Reference(
        "Alexander-Bloch, Aaron F. and Shou, Haochang and Liu, Siyuan and others",
        "On testing for spatial correspondence between maps of human brain structure and function",
        "NeuroImage",
        "2018",
        "10.1016/j.neuroimage.2018.05.070",
        "178",
        "540–551",
    ),
    "behzadi2007": Reference(
        "Behzadi, Yashar and Restom, Khaled and Liau, Joy and Liu, Thomas T.",
        "A component based noise correction method (CompCor) for BOLD and perfusion based fMRI",
        "NeuroImage",
        "2007",
        "10.1016/j.neuroimage.2007.04.042",
        "37",
        "90–101",
    ),
    "benjamini1995": Reference(
        "Benjamini, Yoav and Hochberg, Yosef",
        "Controlling the false discovery rate: a practical and powerful approach to multiple"
        " testing",
        "Journal of the Royal Statistical Society B",
        "1995",
        "10.1111/j.2517-6161.1995.tb02031.x",
        "57",
        "289–300",
    ),
    "esteban2019": Reference(
        "Esteban, Oscar and Markiewicz, Christopher J. and Blair, Ross W. and others",
        "fMRIPrep: a robust preprocessing pipeline for functional MRI",
        "Nature Methods",
        "2019",
        "10.1038/s41592-018-0235-4",
        "16",
        "111–116",
    ),
    "fischl1999": Reference(
        "Fischl, Bruce and Sereno, Martin I. and Tootell, Roger B. H. and Dale, Anders M.",
        "High-resolution intersubject averaging and a coordinate system for the cortical surface",
        "Human Brain Mapping",
        "1999",
        "10.1002/(SICI)1097-0193(1999)8:4<272::AID-HBM10>3.0.CO;2-4",
        "8",
        "272–284",
    ),
    "gorgolewski2011": Reference(
        "Gorgolewski, Krzysztof and Burns, Christopher D. and Madison, Cindee and others",
        "Nipype: a flexible, lightweight and extensible neuroimaging data processing framework in"
        " Python",
        "Frontiers in Neuroinformatics",
        "2011",
        "10.3389/fninf.2011.00013",
        "5",
        "13",
    ),
    "gorgolewski2016": Reference(
        "Gorgolewski, Krzysztof J. and Auer, Tibor and Calhoun, Vince D. and others",
        "The brain imaging data structure, a format for organizing and describing outputs of"
        " neuroimaging experiments",
        "Scientific Data",
        "2016",
        "10.1038/sdata.2016.44",
        "3",
        "160044",
    ),
    "gorgolewski2017": Reference(
        "Gorgolewski, Krzysztof J. and Alfaro-Almagro, Fidel and Auer, Tibor and others",
        "BIDS apps: improving ease of use, accessibility, and reproducibility of neuroimaging data"
        " analysis methods",
        "PLOS Computational Biology",
        "2017",
        "10.1371/journal.pcbi.1005209",
        "13",
        "e1005209",
    ),
    "hoerl1970": Reference(
        "Hoerl, Arthur E. and Kennard, Robert W.",
        "Ridge regression: biased estimation for nonorthogonal problems",
        "Technometrics",
        "1970",
        "10.1080/00401706.1970.10488634",
        "12",
        "55–67",
    ),
    "kim2024": Reference(
        "Kim, Seung-Goo and Overath, Tobias and Sammler, Daniela",
        "Neural encoding of musical emotion",
        "Talk at the Music Wellness Center, Ewha University, June 26",
        "2024",
        kind="misc",
    ),
    "margulies2016": Reference(
        "Margulies, Daniel S. and Ghosh, Satrajit S. and Goulas, Alexandros and others",
        "Situating the default-mode network along a principal gradient of macroscale cortical"
        " organization",
        "Proceedings of the National Academy of Sciences",
        "2016",
        "10.1073/pnas.1608282113",
        "113",
        "12574–12579",
    ),
    "markello2021": Reference(
        "Markello, Ross D. and Misic, Bratislav",
        "Comparing spatial null models for brain maps",
        "NeuroImage",
        "2021",
        "10.1016/j.neuroimage.2021.118052",
        "236",
        "118052",
    ),
    "markello2022": Reference(
        "Markello, Ross D. and Hansen, Justine Y. and Liu, Zhen-Qi and others",
        "neuromaps: structural and functional interpretation of brain maps",
        "Nature Methods",
        "2022",
        "10.1038/s41592-022-01625-w",
        "19",
        "1472–1479",
    ),
    "nichols2002": Reference(
        "Nichols, Thomas E. and Holmes, Andrew P.",
        "Nonparametric permutation tests for functional neuroimaging: a primer with examples",
        "Human Brain Mapping",
        "2002",
        "10.1002/hbm.1058",
        "15",
        "1–25",
    ),
    "phipson2010": Reference(
        "Phipson, Belinda and Smyth, Gordon K.",
        "Permutation P-values should never be zero: calculating exact P-values when permutations"
        " are randomly drawn",
        "Statistical Applications in Genetics and Molecular Biology",
        "2010",
        "10.2202/1544-6115.1585",
        "9",
        "39",
    ),
    "prichard1994": Reference(
        "Prichard, Dean and Theiler, James",
        "Generating surrogate data for time series with several simultaneously measured variables",
        "Physical Review Letters",
        "1994",
        "10.1103/PhysRevLett.73.951",
        "73",
        "951–954",
    ),
}


def references() -> dict[str, Reference]:
    """Publications by key, with those of the feature spaces."""
    return REFERENCES | {k: one for space in SPACES.values() for k, one in space.references.items()}


@dataclass(frozen=True)
class CitedText:
    """Paragraphs whose marks are numbers, and the numbered references."""

    paragraphs: Sequence[str]
    references: Sequence[str]
    keys: Sequence[str]


def number_citations(paragraphs: Sequence[str]) -> CitedText:
    """Turn marks such as ``[@hershey2017; @kim2024]`` into numbers in order of appearance.

    Raises
    ------
    KeyError
        If a mark names an unknown reference.
    """
    keys: list[str] = []
    known = references()

    def replace(match: re.Match[str]) -> str:
        numbers = []
        for part in match.group(1).split(";"):
            key = part.strip().removeprefix("@")
            if key not in known:
                raise KeyError(key)
            if key not in keys:
                keys.append(key)
            numbers.append(str(keys.index(key) + 1))
        return f"[{', '.join(numbers)}]"

    numbered = [_MARK.sub(replace, paragraph) for paragraph in paragraphs]
    return CitedText(numbered, [known[key].text for key in keys], keys)


def bibliography(keys: Sequence[str]) -> str:
    """BibTeX entries of some references."""
    known = references()
    return "\n\n".join(known[key].bibtex(key) for key in keys) + "\n"
