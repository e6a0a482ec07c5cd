"""Adapters from public collections of head CT to one form: stacks of model input with labels and masks.

    python -m training.data --root ../shared/data
    python -m training.data --sources rsna-2019 --workers 16

prints what is there. The first call reads every file and caches the result; later calls map the cached arrays into
memory. Each collection has a file here that says how it is laid out and what is made of its labels.
"""

from training.data.ct_ich import rebuild_hu
from training.data.kaggle import kaggle_labels
from training.data.loading import ADAPTERS, DEFAULT_CACHE, SOURCES, load, problems
from training.data.phe_sich import proxy_labels, quarter_turns
from training.data.report import main, summary
from training.data.rsna_samples import dicom_hu
from training.data.stratify import folds
from training.data.study import Problem, TrainingStudy

__all__ = [
    "ADAPTERS",
    "DEFAULT_CACHE",
    "SOURCES",
    "Problem",
    "TrainingStudy",
    "dicom_hu",
    "folds",
    "kaggle_labels",
    "load",
    "main",
    "problems",
    "proxy_labels",
    "quarter_turns",
    "rebuild_hu",
    "summary",
]
