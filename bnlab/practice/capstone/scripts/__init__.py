"""The training scripts of the capstone, without their bugs; each is handed out as `train.py`, with three."""
