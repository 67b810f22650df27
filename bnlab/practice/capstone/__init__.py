"""The capstone: an hour with a blank page, a broken script, two plots and four questions, and a report at its end.

from bnlab.practice import capstone
capstone.begin()
"""

from bnlab.practice.capstone.desk import Desk

__all__ = ["begin", "check", "doctor", "done", "mark", "name_bugs", "questions", "report", "status"]

_desk = Desk()
begin, status, report = _desk.begin, _desk.status, _desk.report
check, name_bugs, doctor = _desk.check, _desk.name_bugs, _desk.doctor
questions, done, mark = _desk.questions, _desk.done, _desk.mark
