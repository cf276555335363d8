"""The core: `step(state, event)` composes what the pure packages decide. Live, replay and demo run this one path."""
