"""Air-quality measurements: the AQI scale, station series, and where stations lie."""
