"""How fast faults are detected and how often alarms are false, measured on the real engine with simulated pools.

The model, its limits and the figures: docs/explanation/detection.md. The program: `benchmarks/detection.py`.
"""
