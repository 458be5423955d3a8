"""The gallery: a folder of pages that shows every video of a table, its cost, its origin and the decisions about it."""

from wan_assets.gallery.folder import GalleryError
from wan_assets.gallery.review_pages import ReviewPages
from wan_assets.gallery.writer import Gallery, write_gallery

__all__ = [
    "Gallery",
    "GalleryError",
    "ReviewPages",
    "write_gallery",
]
