// The code stands behind the # of the link, so that neither a server's log nor a proxy's has it.
const code = document.getElementById("code");
if (location.hash.length > 1) {
  code.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  code.form.querySelector("button").focus();
}
