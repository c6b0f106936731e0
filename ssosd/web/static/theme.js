// Dark by night, light by day: the system's wish until the person chooses.
const key = "ssosd-theme";
const root = document.documentElement;

function apply(theme) {
  if (theme) root.dataset.theme = theme;
  document.dispatchEvent(new Event("theme"));
}

export function startTheme(button) {
  apply(localStorage.getItem(key));
  button.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
    const theme = dark ? "light" : "dark";
    localStorage.setItem(key, theme);
    apply(theme);
    button.blur();
  });
}

export function colour(name) {
  return getComputedStyle(root).getPropertyValue(`--${name}`).trim();
}
