"""The forms that labels can have beside the name of one class, and what they say of an image."""

from stackbone.cache.labels.numbers import NUMBERS
from stackbone.cache.labels.sets import SETS

FORMS = {SETS: "can have several labels", NUMBERS: "has several numbers"}
"""Each form with what an image of a dataset of this form has, as a message goes on after ``an image``."""
