"""Exercises, predictions and the interview room."""
