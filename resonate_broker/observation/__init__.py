"""What a server tells about itself: metrics, health, and the port where both are asked for."""
