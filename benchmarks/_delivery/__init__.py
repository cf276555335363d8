"""The stage of the delivery benchmark: broker, daemon and consumer as processes of their own, and who kills them."""
