"""What stands where in a picture, and which of it can make a sound: detectors behind one seam, and a table."""
