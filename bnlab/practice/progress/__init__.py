"""What is kept of the learner's work: attempts, predictions, requests for help, answers, sittings; one SQLite file."""

from bnlab.practice.progress.progress import Progress
from bnlab.practice.progress.records import Answer, Attempt, Commitment, Sitting, TaskSummary

__all__ = ["Answer", "Attempt", "Commitment", "Progress", "Sitting", "TaskSummary"]
