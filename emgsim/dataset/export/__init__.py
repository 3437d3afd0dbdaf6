"""A dataset in other people's formats: EMG-BIDS with BDF+, Zarr shards, NWB, WAV."""
