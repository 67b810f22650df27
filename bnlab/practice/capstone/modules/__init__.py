"""The layers that are written on the capstone's blank page, one a file, with the mistakes that people make in them."""

from bnlab.practice.capstone.modules import keras, padded, pytorch

MODULES = {task.id: task for task in (pytorch.TASK, keras.TASK, padded.TASK)}
