"""Where a sound is: `place` is the seam, `localizer_*` stand behind it, and `similarity` is the patches' heatmap."""
