"""What `tocsin demo` is made of: a scene, the programs that run in it, a story, and the words that tell it."""
