"""The tables of the National Lung Screening Trial: read, labelled, fitted, and a synthetic cohort of their shape.

Codes and column names are those of the official data dictionaries (NCI, Cancer Data Access System). No data of the
trial comes with this package.
"""
