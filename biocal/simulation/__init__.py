"""Simulation studies: what is drawn, fitted and measured."""
