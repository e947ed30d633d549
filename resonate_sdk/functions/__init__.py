"""What users write: functions, what they are called with, and what they yield."""
