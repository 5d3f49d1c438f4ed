// What is wider than its place can be scrolled with the keyboard, too.
const scrolled = () => {
  for (const box of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset .equation, .md-typeset .output"))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
};
document$.subscribe(() => requestAnimationFrame(scrolled));
addEventListener("resize", scrolled);
