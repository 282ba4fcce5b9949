"""Transfer: what labelled images of one domain teach about another, and whether they help there or hurt."""
