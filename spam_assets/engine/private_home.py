"""The home folder holds people's mail: nobody else of this machine may enter it, nor read what is written there."""

import os
import stat

from spam_assets.settings import Settings

OTHERS = 0o007
NOT_THE_OWNER = 0o077


def keep_home_private(settings: Settings) -> None:
    """Make the home folder one that only its owner may enter, and let this process write files that fit it.

    A folder that lets everybody in, as older versions made it, is closed; one that a person opened for a group only
    (`chmod 750`) stays open for it. Files of this process are then no more open than the folder. Where landing zone
    or storage are somewhere else, who may read there is for the person to say, and the umask stays as it is.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = settings.home.stat()
    mode = stat.S_IMODE(status.st_mode)
    if mode & OTHERS and status.st_uid == os.geteuid():
        mode &= ~NOT_THE_OWNER
        settings.home.chmod(mode)
    if settings.landing is None and settings.storage is None:
        os.umask(os.umask(NOT_THE_OWNER) | (0o777 & ~mode))
