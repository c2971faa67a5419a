"""EDGES: thin code that connects the pure core with places, people and services."""
