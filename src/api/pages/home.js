// Shows the commands with the address that this page came from.
const base = new URL(".", location.href).href.replace(/\/$/, "");
for (const place of document.querySelectorAll(".origin")) {
  place.textContent = base;
}
