// Says at once what is too large, and how far an upload is.
"use strict";

const form = document.getElementById("drop");
const fault = document.getElementById("fault");
const told = document.getElementById("told");
const sent = document.getElementById("sent");

function tell(text) {
  fault.textContent = text;
  told.textContent = "";
  sent.hidden = true;
  form.querySelector("button").disabled = false;
}

// What a page of errors, or an error of the API, says.
function saidBy(request) {
  try {
    return JSON.parse(request.responseText).error.message;
  } catch {
    const page = new DOMParser().parseFromString(request.responseText, "text/html");
    const lines = [...page.querySelectorAll("main .lead")].slice(0, -1);
    return lines.map((line) => line.textContent).join("\n") || `The server said ${request.status}.`;
  }
}

form.addEventListener("submit", (event) => {
  const files = [...document.getElementById("files").files];
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const most = Number(form.dataset.most);
  event.preventDefault();
  if (size > most) {
    const mib = (bytes) => Math.ceil(bytes / 2 ** 20);
    tell(
      `These files have ${mib(size)} MiB; ${mib(most)} are taken. ` +
        "Copy them into a folder, and name that below.",
    );
    return;
  }
  fault.textContent = "";
  form.querySelector("button").disabled = true;
  sent.hidden = false;
  const request = new XMLHttpRequest();
  request.upload.addEventListener("progress", (step) => {
    sent.value = step.lengthComputable ? step.loaded / step.total : 0;
    told.textContent = step.loaded < step.total ? "Sending." : "Looking at the files.";
  });
  request.addEventListener("load", () => {
    if (request.status < 400) {
      location.assign(request.responseURL);
    } else {
      tell(saidBy(request));
    }
  });
  request.addEventListener("error", () => tell("The server did not take the files. Try again."));
  request.open("POST", form.action);
  request.send(new FormData(form));
});
