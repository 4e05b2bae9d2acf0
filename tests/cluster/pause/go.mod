module tracecapture.invalid/pause

go 1.26
