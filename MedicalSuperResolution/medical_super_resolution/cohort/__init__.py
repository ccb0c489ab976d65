"""Many volumes: files, series of volumes, folders, cohorts on a cluster."""
