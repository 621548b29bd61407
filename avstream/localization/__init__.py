"""Where a sound is. Narrations use `fusion` (of `synchrony` and `stereo`) and `similarity`.

acl*.py, and encoders/beats.py with them, are reached by `python -m pipelines.train_localizer` and its like only.
"""
