const curl = document.getElementById("curl");
curl.textContent = curl.textContent.replace("https://this-server", location.origin);
document.getElementById("copy").addEventListener("click", async (event) => {
  const token = document.getElementById("token");
  try {
    await navigator.clipboard.writeText(token.textContent);
  } catch {
    // Without https a browser gives no clipboard: the selection can still be copied.
    getSelection().selectAllChildren(token);
    if (!document.execCommand("copy")) { event.target.textContent = "Press Ctrl-C"; return; }
  }
  event.target.textContent = "Copied";
});
