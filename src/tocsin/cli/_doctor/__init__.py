"""The examinations of `tocsin doctor`: each looks at one thing and says what it saw and what to do about it."""
