"""The interview room: a bank of questions whose answers are run as proofs."""
