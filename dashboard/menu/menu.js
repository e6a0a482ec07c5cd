let leave = () => {};

// Streamlit calls this at every run of the page, and what it returns when the page has gone.
export default function ({ setTriggerValue }) {
  function listen(event) {
    const link = event.target.closest?.("a");
    if (!link?.closest("header") || link.pathname !== location.pathname) return;
    // With a modifier the browser opens the link in another tab or window.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    setTriggerValue("clicked", true);
  }
  leave();
  // Capturing, because Streamlit listens further down.
  document.addEventListener("click", listen, { capture: true });
  leave = () => document.removeEventListener("click", listen, { capture: true });
  return leave;
}
