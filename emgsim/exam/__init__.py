"""The examination: what is done to a patient, in which order, in which muscles, and what it shows.

A protocol and a muscle make a schedule of steps (`schedule`); the steps and a patient make one
scenario per muscle (`Examination.scenario`), whose plan tells the analysis what was done when.
"""
