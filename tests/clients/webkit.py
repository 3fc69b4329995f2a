"""Shows one page in a window of WebKitGTK: `webkit.py URL`. It prints `ready` if the Debian packages are installed."""

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
