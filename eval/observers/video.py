"""Records an episode as video: h264, 20 frames a second, 1120 × 480 (see `picture`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from envs.video import VideoFile
from eval.observers import picture
from eval.observers.composed import Filmed

ENCODING = ("-crf", "23", "-preset", "veryfast", "-threads", "1", "-movflags", "+faststart")


class VideoObserver(Filmed):
    """Writes `folder`/videos/episode_<i>.mp4 and adds its path, relative to `folder`, to the row as `video`.

    `keep="failures"` records every episode and keeps those that failed (`video` is None for the others). A file appears under its name when it is whole.
    Raises Failed where it cannot be written.
    """

    def __init__(self, folder: str | Path, label: str, keep: Literal["all", "failures"] = "all", influence: bool = False) -> None:
        """`label` and `influence`: as in `Composed`."""
        super().__init__(label, influence)
        self.folder, self.keep = Path(folder), keep

    def begin(self, env: Any, policy: Any, obs: dict[str, Any], info: dict[str, Any], row: dict[str, Any]) -> None:
        self.name = f"videos/episode_{row['episode']}.mp4"
        self.video = VideoFile(self.folder / self.name, picture.HEIGHT, picture.WIDTH, env.control_hz, ENCODING)
        super().begin(env, policy, obs, info, row)

    def end(self, env: Any, row: dict[str, Any]) -> dict[str, Any]:
        super().end(env, row)
        if self.keep == "failures" and row["success"]:
            self.video.drop()
            return {"video": None}
        self.video.finish()
        return {"video": self.name}
