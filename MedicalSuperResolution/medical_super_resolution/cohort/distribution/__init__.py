"""Distribution of the studies of a cohort to workers, through Dask."""
