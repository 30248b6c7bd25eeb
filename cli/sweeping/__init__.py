"""`execution sweep`: the same sessions under many settings, on any number of workers.

grid.py     which points there are
point.py    what one of them comes to
folder.py   where a sweep stands: asked, done, failed
worker.py   takes points from the queue
command.py  gives them out, looks on, shows the result
"""
