"""Finds the cuts of videos with PySceneDetect's content detector and its defaults.

    python shots.py FILE...

Prints one line of JSON for each: the times of the cuts in seconds, and how long it took.
"""

import json
import sys
import time

from scenedetect import ContentDetector, SceneManager, open_video


def cuts(file):
    video = open_video(file)
    manager = SceneManager()
    manager.add_detector(ContentDetector())
    manager.detect_scenes(video)
    return [float(scene[0].seconds) for scene in manager.get_scene_list()[1:]]


for file in sys.argv[1:]:
    began = time.perf_counter()
    cpu = time.process_time()
    found = cuts(file)
    took = {"seconds": time.perf_counter() - began, "cpuSeconds": time.process_time() - cpu}
    print(json.dumps({"cuts": found, **took}), flush=True)
