A=fOo B=${A~} C=${A~~}
