// Whether nobody types or reads elsewhere. What Streamlit calls stale is about to go, and its focus with it.
function focusIsFree() {
  const active = document.activeElement;
  return !active || active === document.body || active.closest('[data-stale="true"]') !== null;
}
