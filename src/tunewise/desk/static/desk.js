// What every page has: the focus follows to what was fetched, so that keyboard and screen reader do.
"use strict";

document.addEventListener("htmx:after:swap", () => {
  const status = document.querySelector("#rows [role=status]");
  if (status) {
    status.textContent = status.textContent; // told anew to a screen reader
  }
});
