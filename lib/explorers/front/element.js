// A new element of a class, with its text if it has any; put before what uses it.
function add(parent, tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}
