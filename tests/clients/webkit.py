"""A window of WebKitGTK that shows one page: `webkit.py URL`. It says that it can, for Debian packages may be missing."""

import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gtk, WebKit2

view = WebKit2.WebView.new_with_context(WebKit2.WebContext.new_ephemeral())
window = Gtk.Window()
window.add(view)
window.show_all()
print("ready", flush=True)
view.load_uri(sys.argv[1])
Gtk.main()
