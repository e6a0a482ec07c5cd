"""Synthetic CT studies with truth: samples on the page, pictures in the documents, builder under the tests.

Heads are painted from a description of the anatomy in mm, seeded, normal or with one of the five bleeds.
They show how a head CT is built up; they are no evidence of how well anything detects bleeds.
"""

from .files import datasets, to_bytes, write
from .study import Phantom, make, make_chest

__all__ = ["Phantom", "datasets", "make", "make_chest", "to_bytes", "write"]
