"""The gallery: a folder of static pages that shows every video of a table, its cost and its origin."""

from wan_assets.gallery.folder import GalleryError
from wan_assets.gallery.writer import Gallery, write_gallery

__all__ = [
    "Gallery",
    "GalleryError",
    "write_gallery",
]
